echo a > f; echo b >> f; cat f; cat < f | wc -l
