"""A page for each device model, and the script that draws its figure."""
