"""A build backend that builds nothing.

`pip download` asks the backend of a source distribution for its name and version, which for some means to start a
compiler. A source distribution holds the answer already, in PKG-INFO. The modules `setuptools.build_meta` and
`mesonpy` beside this file are found before the real ones while `fetch` runs, so no code of a distribution runs.
"""

import email
import os
import shutil


def prepare_metadata_for_build_wheel(folder, settings=None):
    with open("PKG-INFO", encoding="utf-8") as file:
        head = email.message_from_file(file)
    name = "{}-{}.dist-info".format(head["Name"].replace("-", "_"), head["Version"])
    os.mkdir(os.path.join(folder, name))
    shutil.copyfile("PKG-INFO", os.path.join(folder, name, "METADATA"))
    return name


def build_wheel(folder, settings=None, metadata=None):
    raise NotImplementedError("this backend only names what it would build")
