"""What `atomfit compare` finds between two images of one particle; see README.md."""
