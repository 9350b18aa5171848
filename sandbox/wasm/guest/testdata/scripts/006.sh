printf '%b\n' 'a\tb'; printf '%q\n' "it's a b"
