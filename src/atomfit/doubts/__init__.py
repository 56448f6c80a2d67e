"""What speaks against an input before anything is fitted to it: values, voxels, views, starts."""
