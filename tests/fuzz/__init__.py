"""Every parser of bytes from outside, given what nobody meant: `make fuzz SECONDS=600`.

A parser either returns what a document says, or raises the error that it declares. It never fails
otherwise, and what it doesn't understand never becomes "there is nothing".
"""
