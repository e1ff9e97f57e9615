"""What runs inside the containment: these modules, the standard library, and nothing else of the project.

Here: giving up rights, the program's side of a trial, the judge's side, and the wire between them.
Not here: anything the machine outside does. These modules import only each other and the standard library.
"""
