"""Look inside an encoder: one picture in its layers, channel by channel, head by head, and as parts."""
