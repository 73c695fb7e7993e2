"""The data that comes with the book, and the steps from a picture to a tensor."""

from gcvit_edu.data.augment import Augmented, OnRandomColour
from gcvit_edu.data.emoji import Drawing, Emoji, emoji_classes, emoji_vendors, on_colour
from gcvit_edu.data.photos import Photo, Photos, load_photo, photo_names
from gcvit_edu.data.published import published_figures
from gcvit_edu.data.scenes import PairScenes, Scenes
from gcvit_edu.data.transforms import crop_to, normalize, upright_rgb

__all__ = [
    "Augmented",
    "Drawing",
    "Emoji",
    "OnRandomColour",
    "PairScenes",
    "Photo",
    "Photos",
    "Scenes",
    "crop_to",
    "emoji_classes",
    "emoji_vendors",
    "load_photo",
    "normalize",
    "on_colour",
    "photo_names",
    "published_figures",
    "upright_rgb",
]
