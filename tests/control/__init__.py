"""Of the control socket: access, answers, followers, and what one client may cost."""
