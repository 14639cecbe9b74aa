from auditdeck.cli.main import main

main()
