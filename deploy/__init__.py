"""What runs watchkeeper somewhere: units, images, manifests, and a broker for the demo."""
