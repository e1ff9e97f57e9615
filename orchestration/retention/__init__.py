"""The retention room: what goes when only the newest turns are kept, and what every kept one rests on."""
