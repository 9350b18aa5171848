false && echo a || echo b; true && echo c; { echo g; false; } || echo h; ! false && echo neg
