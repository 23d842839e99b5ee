"""Maps as objects that viewers and archives of medical pictures understand, opened beside what they explain.

    relax.export_maps(explanation, "out", "parametric-map,seg", source="scan.dcm")
    relax.export_maps([relax.load(file) for file in files], "out", "values", source="scans")
    relax.export_maps(relax.explain_volume("scans"), "out", "secondary-capture,sr")

`kinds.py` lists what can be written; `sheaf.py` puts the maps of several pictures of one series into their order;
`patient.py` says what is copied of a source, and `references.py` refers to it; the other modules make one kind each.
"""
