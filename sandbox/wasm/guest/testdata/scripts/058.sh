diff <(echo a; echo b) <(echo a; echo c)
