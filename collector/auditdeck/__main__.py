from auditdeck.cli import main

main()
