trap 'echo x' INT TERM EXIT; echo a
