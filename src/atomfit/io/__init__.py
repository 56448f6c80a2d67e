"""Formats: maps, images, views, structures and tables, read and written.

It imports `atomfit.verdict` and what lies below, and nothing of the jobs whose results it writes.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.io.cross_sections import read_cross_sections as read_cross_sections
    from atomfit.io.half_maps import read_half_maps as read_half_maps
    from atomfit.io.image_stacks import ImageStack as ImageStack
    from atomfit.io.image_stacks import read_images as read_images
    from atomfit.io.image_stacks import write_images as write_images
    from atomfit.io.models import read_model as read_model
    from atomfit.io.mrc import MapFile as MapFile
    from atomfit.io.mrc import read_map as read_map
    from atomfit.io.mrc import write_labels as write_labels
    from atomfit.io.mrc import write_map as write_map
    from atomfit.io.structures import Structure as Structure
    from atomfit.io.structures import write_mmcif as write_mmcif
    from atomfit.io.structures import write_pdb as write_pdb
    from atomfit.io.structures import write_xyz as write_xyz
    from atomfit.io.tilts import read_tilts as read_tilts
    from atomfit.io.views import ViewsFile as ViewsFile
    from atomfit.io.views import read_views as read_views
    from atomfit.io.views import write_views as write_views
else:
    export(
        __name__,
        {
            "mrc": ["read_map", "write_map", "write_labels", "MapFile"],
            "cross_sections": ["read_cross_sections"],
            "half_maps": ["read_half_maps"],
            "image_stacks": ["ImageStack", "read_images", "write_images"],
            "views": ["ViewsFile", "read_views", "write_views"],
            "tilts": ["read_tilts"],
            "models": ["read_model"],
            "structures": ["Structure", "write_mmcif", "write_pdb", "write_xyz"],
        },
    )
