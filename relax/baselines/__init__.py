"""Established methods beside RELAX: the same image, encoder and `Explanation`, another map.

    relax.explain("cat.png", method="lime")                          # the similarity to itself: no labels
    relax.explain("cat.png", encoder, method="rise", head=head)      # the class that a head predicts

Gradients, Shapley values, LIME and occlusion are captum's, class activation maps are grad-cam's; methods that are a
short formula are implemented here. Maps keep their unit, and no method changes the encoder or the global generators.

The public names are listed in `__init__.pyi` and loaded on first use, so that the table of methods needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
