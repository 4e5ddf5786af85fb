"""A deployed stack on trial: what is lost and refused while its containers are killed, replaced and scaled?"""
