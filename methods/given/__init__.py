"""An intervention that was made elsewhere, measured like any other. See README.md."""
