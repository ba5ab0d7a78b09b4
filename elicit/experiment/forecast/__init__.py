"""What a comparison will cost, before anything is loaded: tokens, device hours, memory."""
