touch a.txt b.txt c.md .hid; echo *.txt; echo nomatch*; shopt -s nullglob; echo nomatch*; echo [ab]*
