"""Launcher and SDK for an image that isn't ours, and needs only Python and torch.

An init container of the image `payload` copies them to a folder that both containers mount
(`python -m trainyard_launcher.payload FOLDER`); the user's container then runs `python FOLDER/launch.py`.

    FOLDER/launch.py        picks what is for its Python, and becomes the launcher
    FOLDER/code/            our packages, and sitecustomize.py: on PYTHONPATH, so before what the image has
    FOLDER/cp311 ... cp314/ what they need, one folder per version of Python: after what the image has, but before it in
                            the launcher's own process, where nothing of the user's runs
    FOLDER/newer/           typing_extensions, for images whose own is too old for pydantic
"""
