"""What measurements rely on, tried on the model before it is used."""
