"""The registry room: policies and prompts in MLflow, and which policy is in force."""
