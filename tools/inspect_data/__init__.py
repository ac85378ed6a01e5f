"""What a user would want to see of a folder of images before training on it: `python -m tools inspect_data FOLDER`."""
