"""What servers that exist want beside a model file: Triton's model repository, KServe's InferenceService."""
