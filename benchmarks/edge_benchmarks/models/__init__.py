"""What is measured: model files, fresh backbones, other engines, and the pictures they answer."""
