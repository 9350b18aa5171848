basename /a/b.txt .txt; dirname /a/b/c; basename a/; dirname x; realpath -m /a/../b
