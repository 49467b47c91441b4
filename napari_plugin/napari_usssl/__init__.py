"""The napari plugin of usssl: find standard planes and review saliency. For research use; not a medical device."""
