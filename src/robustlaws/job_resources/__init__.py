"""What jobs cost and need, and how long a study takes."""
