"""The training benchmarks: speed, the course's table on CIFAR-10, bfloat16."""
