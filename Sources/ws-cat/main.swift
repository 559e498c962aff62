import StreamTool

command.run(CatOptions(), exchange)
