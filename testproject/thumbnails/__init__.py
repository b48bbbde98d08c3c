"""A demo of views: upload pictures, watch a tree make thumbnails of them, and see a contact sheet."""
