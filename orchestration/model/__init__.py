"""The model room: everything that speaks to a language model, and what is kept of its replies."""
