"""What training and serving share."""
