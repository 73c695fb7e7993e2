"""The data that comes with the book, and how a picture becomes a tensor."""

from gcvit_edu.data.photos import load_photo, photo_names
from gcvit_edu.data.published import published_figures
from gcvit_edu.data.transforms import crop_to, normalize

__all__ = ["crop_to", "load_photo", "normalize", "photo_names", "published_figures"]
