import unittest

import app


class Paths(unittest.TestCase):
    def test_the_book_has_a_name(self):
        self.assertEqual(app.BOOK.name, "book.txt")
