# of the overlay
