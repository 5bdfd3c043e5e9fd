"""Property models: settings, network, labels, and what they learn from estimates."""
