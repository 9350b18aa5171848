set -e; if false; then echo a; else echo b; fi; false || echo c; ! true; echo d
