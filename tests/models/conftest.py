"""These tests compile quickly."""

from tests.quick_compilation import quick_compilation as quick_compilation
