printf 'foo1\nbar22\n' | grep -oE '[0-9]+'; printf 'Foo\n' | grep -i foo; printf 'a.b\naxb\n' | grep -F a.b; echo ab | grep -E '^(a|x)b$'
