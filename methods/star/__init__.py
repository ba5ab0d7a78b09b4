"""STaR: sample, keep what is verified right, fine-tune, repeat. See README.md."""
