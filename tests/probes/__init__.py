"""Of the probes that come with the gate: each against what speaks as the documents say, or against the real thing."""
