"""Of what processes say to each other, and said in earlier versions."""
