module tallystickwebhooks

go 1.20
