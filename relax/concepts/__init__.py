"""What units and directions of a layer stand for: concepts with masks, concepts with folders, concepts that are found.

relax.dissect("CONCEPTS", "sscd", layer="layer4")           Network Dissection: which unit detects which concept
relax.tcav("pictures", {"stripes": "stripes"}, "random")    does a concept move the score, beyond chance?
relax.find_concepts("pictures", "sscd", layer="layer4")     concepts without names: groups of cells that look alike
"""
