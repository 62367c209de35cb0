"""Images and audio inside chats: where they stand, what they are, and how much they would become.

Nothing is decoded here. Headers are read in Python: the bytes are strangers', and native code meets them in
engines only.
"""
