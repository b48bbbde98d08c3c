"""A demo of views: upload pictures, follow the tree that makes thumbnails, and see a contact sheet."""
